"""The network for inference, as fast as plain torch operators allow; `model/mvit.py` is the reference it equals."""
