//! Everything put together: the journey on one screen, start, drain, admin.
