"""An exported run behind a small web page of this machine's own.

app.py     what is answered, and what is refused
page.html  the page
run.py     the server
"""
