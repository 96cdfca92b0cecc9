"""The files of diagnoses: uploads, reports, repaired models. In a local folder, or in a bucket for many machines.

`base.py` says what both can do, `opening.py` picks one by the settings.
"""
