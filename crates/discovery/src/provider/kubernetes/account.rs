//! The service account that Kubernetes mounts into a pod.

use std::io;
use std::path::{Path, PathBuf};

use reqwest::{Certificate, Client};
use tusk_config::Secret;

use crate::discovery::SetupError;
use crate::provider::ProviderError;
use crate::provider::http::builder;

#[derive(Debug)]
pub(super) struct Account(PathBuf);

impl Account {
    pub(super) fn at(folder: &str) -> Self {
        Self(PathBuf::from(folder))
    }

    /// The pod's own namespace.
    pub(super) fn namespace(&self) -> Result<String, SetupError> {
        let path = self.0.join("namespace");
        let text = std::fs::read_to_string(&path).map_err(|source| unreadable(&path, source))?;
        Ok(text.trim().to_owned())
    }

    /// A client that trusts the cluster's own authority alone; the system's where there is none.
    pub(super) fn client(&self) -> Result<Client, SetupError> {
        let client = match self.authorities()? {
            Some(authorities) => builder().tls_certs_only(authorities),
            None => builder(),
        };
        Ok(client.build()?)
    }

    /// The cluster's own authority; none where there is no file of it.
    pub(super) fn authorities(&self) -> Result<Option<Vec<Certificate>>, SetupError> {
        let path = self.0.join("ca.crt");
        match std::fs::read(&path) {
            Ok(pem) => Ok(Some(Certificate::from_pem_bundle(&pem)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&path, error)),
        }
    }

    /// The token, read each time: Kubernetes replaces it every hour or so. None outside of a
    /// cluster.
    pub(super) async fn token(&self) -> Result<Option<Secret<String>>, ProviderError> {
        let path = self.0.join("token");
        match tokio::fs::read_to_string(&path).await {
            Ok(token) => Ok(Some(Secret::from(token.trim()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => {
                Err(ProviderError::Io { what: format!("read {}", path.display()), source })
            }
        }
    }
}

fn unreadable(path: &Path, source: io::Error) -> SetupError {
    SetupError::File { path: path.display().to_string(), source }
}
