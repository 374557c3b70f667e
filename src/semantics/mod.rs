//! What spans mean, per convention: where environment and release live. Pure over views.
