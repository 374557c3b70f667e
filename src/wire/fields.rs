//! Iterates over the fields of one protobuf message.
