"""The role `push`: the Faust worker that decides on and sends notifications."""
