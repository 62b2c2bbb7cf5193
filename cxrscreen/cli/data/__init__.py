"""``cxrscreen data``: look at labelled images before anything is trained on them."""
