//! What crosses a wire: the gRPC services, and the vocabulary of objects.
