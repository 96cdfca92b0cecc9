"""Attacks on the service, one small file each: what is sent, what it tries, what the front door answers, what holds it
where the static pass and Keras' safe mode are off.

`python -m tests.attacks` prints the list into docs/security.md. All payloads are benign: they reach for canaries.
"""
