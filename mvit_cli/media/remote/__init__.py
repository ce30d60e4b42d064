"""Addresses as inputs: files behind https, buckets of stores, repositories of the Hub."""
