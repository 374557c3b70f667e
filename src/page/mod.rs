//! What a person sees: joined traces as trees or JSON lines, and the latest of them kept.
