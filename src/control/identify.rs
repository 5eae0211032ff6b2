//! Which endpoint sent a request (`endpoint_identifier_order`).
