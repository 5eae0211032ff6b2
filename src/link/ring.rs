//! The bounded queues between control and one worker, and the bell that wakes the other side.
