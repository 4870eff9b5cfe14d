//! Property tests of the state machine.
