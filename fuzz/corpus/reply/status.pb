queue is fullT
)type.googleapis.com/google.rpc.BadRequest'
%
spans[3].trace_idmust be 16 bytes6
(type.googleapis.com/google.rpc.RetryInfo

€Êµî