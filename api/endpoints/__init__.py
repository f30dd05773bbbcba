"""The endpoints of Millrace's own API."""
