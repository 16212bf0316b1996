//! What calls carry besides their message: an audit ID, and, for clients without a
//! certificate, a bearer token.

use crate::kubeconfig::{Credentials, Token};
use crate::trace;
use std::path::PathBuf;
use std::sync::Arc;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Adds the token, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Bearer(Option<Source>);

#[derive(Clone, Debug)]
enum Source {
    Token(Arc<Token>),
    File(Arc<PathBuf>),
}

impl Bearer {
    /// What these credentials need on every call.
    pub fn of(credentials: &Credentials) -> Self {
        Self(match credentials {
            Credentials::Certificate { .. } => None,
            Credentials::Token(token) => Some(Source::Token(Arc::new(token.clone()))),
            Credentials::TokenFile(path) => Some(Source::File(Arc::new(path.clone()))),
        })
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        trace::tag(&mut request);
        let no = |place: &dyn std::fmt::Display, reason: &dyn std::fmt::Display| {
            Status::unauthenticated(format!("no token in {place}: {reason}"))
        };
        let header = |token: &str| AsciiMetadataValue::try_from(format!("Bearer {}", token.trim()));
        let mut value = match &self.0 {
            None => return Ok(request),
            Some(Source::Token(token)) => {
                header(&token.0).map_err(|e| no(&"the kubeconfig", &e))?
            }
            Some(Source::File(file)) => {
                let token = std::fs::read_to_string(file.as_path());
                let token = token.map_err(|e| no(&file.display(), &e))?;
                header(&token).map_err(|e| no(&file.display(), &e))?
            }
        };
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(credentials: &Credentials) -> Result<Option<String>, Status> {
        let request = Bearer::of(credentials).call(Request::new(()))?;
        let value = request.metadata().get("authorization");
        Ok(value.map(|value| value.to_str().unwrap().to_owned()))
    }

    #[test]
    fn the_token_is_the_one_the_file_holds_now() {
        let file = std::env::temp_dir().join(format!("hardway-token-{}", std::process::id()));
        let credentials = Credentials::TokenFile(file.clone());
        std::fs::write(&file, "one\n").unwrap();
        assert_eq!(sent(&credentials).unwrap().unwrap(), "Bearer one");
        std::fs::write(&file, "two").unwrap();
        assert_eq!(sent(&credentials).unwrap().unwrap(), "Bearer two");
        std::fs::remove_file(&file).unwrap();
        let refused = sent(&credentials).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::Unauthenticated);
        assert!(refused.message().contains("hardway-token-"), "{refused}");
        let given = Credentials::Token(Token("three".into()));
        assert_eq!(sent(&given).unwrap().unwrap(), "Bearer three");
    }
}
