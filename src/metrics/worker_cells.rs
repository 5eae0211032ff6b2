//! The cells that one worker writes and a scrape reads. One writer, so a plain load and store is enough: no locked
//! instruction, no shared cache line with another worker.
