
bad metrics