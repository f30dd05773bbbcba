"""The role `encoder`: a network that serves users by their own vectors, learned beside the stream."""
