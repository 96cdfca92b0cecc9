"""Model and batch by URI: which may be fetched, from which addresses, and how their bytes come.

    uris ──> addresses ──> web     https://, http://
         └─> stores                s3://, gs://
         └─> registry ──> web      models:/, runs:/

Nothing is fetched unless the operator's allow-list names it (`PHASEGAP_URI_PREFIXES`).
"""
