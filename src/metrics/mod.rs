//! Metrics: the catalogue has every name once; control keeps `prometheus` counters, each worker plain cells of its own
//! that are collected at a scrape.

pub mod worker_cells;
