//! What every model is held to.

harness::conformance!(model_async_std::AsyncStd);
