
bad profiles