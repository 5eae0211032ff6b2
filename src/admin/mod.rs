//! The admin interface as values: an HTTP request becomes an [`AdminRequest`], its answer an [`AdminResponse`].
