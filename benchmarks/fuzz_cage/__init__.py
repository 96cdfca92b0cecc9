"""Spoilt models and batches through a whole guest in the real sandbox: is every end one that the contract knows?"""
