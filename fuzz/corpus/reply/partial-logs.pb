
bad logs