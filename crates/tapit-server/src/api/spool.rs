//! Uploads, streamed to a file: bounded in size and in silence, and never left behind.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use tapit_model::Refusal;
use tempfile::TempPath;
use tokio::io::AsyncWriteExt;

use super::errors::ApiError;

/// Bounds on an upload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) upload_bytes: u64,
    /// How long the sender may be silent.
    pub(super) upload_silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { upload_bytes: 50 * 1024 * 1024 * 1024, upload_silence: Duration::from_secs(60) }
    }
}

/// Writes a body to a file below `directory`. The file goes when the path is dropped: also when the sender hangs up,
/// since the future that holds it is dropped then.
pub(super) async fn receive(
    directory: &Path,
    headers: &HeaderMap,
    mut body: Body,
    limits: Limits,
) -> Result<TempPath, ApiError> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > limits.upload_bytes) {
        return Err(ApiError::too_large(&format!("{} bytes", limits.upload_bytes)));
    }
    let (mut file, path) = make(directory).await?;
    let mut received = 0u64;
    loop {
        let frame = match tokio::time::timeout(limits.upload_silence, body.frame()).await {
            Err(_) => return Err(ApiError::body_stalled()),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(ApiError::usage("the upload broke off; send it again")),
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        received = received.saturating_add(data.len() as u64);
        if received > limits.upload_bytes {
            return Err(ApiError::too_large(&format!("{} bytes", limits.upload_bytes)));
        }
        file.write_all(&data).await.map_err(|error| unwritable(directory, &error))?;
    }
    // Tokio's files write behind; the last error shows at the flush.
    file.flush().await.map_err(|error| unwritable(directory, &error))?;
    if received == 0 {
        return Err(ApiError::usage("the body is empty; send a tar of docker save or of an OCI layout"));
    }
    Ok(path)
}

async fn make(directory: &Path) -> Result<(tokio::fs::File, TempPath), ApiError> {
    let made = {
        let directory = directory.to_owned();
        tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&directory)?;
            tempfile::Builder::new().prefix("upload-").tempfile_in(&directory)
        })
        .await
    };
    let made = made.map_err(|error| Refusal::failed(format!("cannot spool the upload: {error}")))?;
    let (file, path) = made.map_err(|error| unwritable(directory, &error))?.into_parts();
    Ok((tokio::fs::File::from_std(file), path))
}

fn unwritable(directory: &Path, error: &std::io::Error) -> ApiError {
    let directory = directory.display();
    let text = if error.kind() == ErrorKind::StorageFull {
        format!("no space is left for the upload in {directory}; free some space and try again")
    } else {
        format!("cannot spool the upload in {directory}: {error}")
    };
    Refusal::failed(text).into()
}
