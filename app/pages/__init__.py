"""HTML: one typed context a page, Jinja templates, static files of our own. Everything shown is hostile until
escaped.
"""
