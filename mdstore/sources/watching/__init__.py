"""An exchange's websocket into the rings: what is watched, and how each exchange is connected to."""
