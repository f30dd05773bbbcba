from hypothesis import settings

# Two busy cores make any single example slow once in a while; that says nothing about the property.
settings.register_profile("millrace", deadline=None)
settings.load_profile("millrace")
