//! Uploading files and serving them (contract §Uploads).

use axum::{
    Json,
    body::Body,
    extract::{
        Path, State,
        multipart::{Field, MultipartError},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{
    auth::Caller,
    body::is_length_limit,
    errors::RestError,
    extract::QueryPayload,
    form::{Form, FormError},
    state::RestState,
};
use crate::{
    chat::{Links, StoredFile, Uploads},
    domain::User,
    error::{Error, Result as ChatResult},
    limits::AskedTooMuch,
    protocol::rfc3339,
};

type Answer = Result<Response, RestError>;

/// The files of one request: those that were stored, and those that failed.
#[derive(Default)]
struct Received {
    stored: Vec<StoredFile>,
    failed: Vec<(String, Error)>,
}

/// `POST /upload`: field `files`, one or more.
pub async fn upload(State(state): State<RestState>, Caller(user): Caller, headers: HeaderMap, form: Form) -> Answer {
    let base = base_url(&state, &headers);
    let received = receive(&state.chat.uploads, &user, form).await?;
    let mut response = answer(&state.chat.uploads.links, &base, &received);
    if received.failed.iter().any(|(_, e)| *e == Error::FileTooLarge) {
        response.extensions_mut().insert(AskedTooMuch);
    }
    Ok(response)
}

async fn receive(uploads: &Uploads, user: &User, mut form: Form) -> ChatResult<Received> {
    let mut received = Received::default();
    let outcome = receive_all(uploads, user, &mut form, &mut received).await;
    if let Err(e) = outcome {
        uploads.take_back(user, &received.stored).await;
        return Err(e);
    }
    if received.stored.is_empty() && received.failed.is_empty() {
        return Err(Error::NoFiles);
    }
    Ok(received)
}

async fn receive_all(uploads: &Uploads, user: &User, form: &mut Form, received: &mut Received) -> ChatResult<()> {
    while let Some(mut field) = form.next().await.map_err(|e| match e {
        FormError::HeadTooLong => Error::PartHeadTooLong,
        FormError::Broken(e) => broken(&e),
    })? {
        if field.name() != Some("files") {
            while field.chunk().await.map_err(|e| broken(&e))?.is_some() {}
            continue;
        }
        if received.stored.len() + received.failed.len() == uploads.max_files {
            return Err(Error::TooManyFiles);
        }
        let name = field.file_name().unwrap_or("file").to_owned();
        match receive_one(uploads, user, &name, &mut field).await {
            Ok(file) => received.stored.push(file),
            Err(e @ (Error::FileTooLarge | Error::FileTypeNotAllowed)) => {
                received.failed.push((name, e));
                while field.chunk().await.map_err(|e| broken(&e))?.is_some() {}
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

async fn receive_one(uploads: &Uploads, user: &User, name: &str, field: &mut Field<'_>) -> ChatResult<StoredFile> {
    let mut receiving = uploads.receive(user, name).await?;
    loop {
        let pushed = match field.chunk().await {
            Ok(Some(bytes)) => receiving.push(&bytes).await,
            Ok(None) => return uploads.keep(user, receiving).await,
            Err(e) => Err(broken(&e)),
        };
        if let Err(e) = pushed {
            receiving.abort().await;
            return Err(e);
        }
    }
}

fn broken(e: &MultipartError) -> Error {
    if e.status() == StatusCode::PAYLOAD_TOO_LARGE || is_length_limit(e) {
        return Error::FormTooLarge;
    }
    Error::InvalidPayload("The upload is broken off, or not a form with files".into())
}

fn answer(links: &Links, base: &str, received: &Received) -> Response {
    let failed: Vec<Value> = received
        .failed
        .iter()
        .map(|(name, e)| json!({ "fileName": name, "error": e.to_string(), "code": e.code() }))
        .collect();
    let uploaded: Vec<Value> = received.stored.iter().map(|file| file_json(links, base, file)).collect();
    if let (true, Some((_, error))) = (uploaded.is_empty(), received.failed.first()) {
        let body = json!({ "success": false, "message": error.to_string(), "code": error.code(),
                           "data": { "uploaded": uploaded, "failed": failed } });
        return (StatusCode::BAD_REQUEST, Json(body)).into_response();
    }
    Json(json!({ "success": true, "data": { "uploaded": uploaded, "failed": failed } })).into_response()
}

fn file_json(links: &Links, base: &str, file: &StoredFile) -> Value {
    let url = links.to(base, file);
    json!({
        "fileName": file.name,
        "fileType": file.kind.mime(),
        "fileSize": file.size,
        "filePath": file.path,
        "fileUrl": url,
        "uploadedAt": rfc3339(&file.uploaded_at),
    })
}

/// The address of this server in links: `PUBLIC_URL`, or the address that the client used.
fn base_url(state: &RestState, headers: &HeaderMap) -> String {
    if let Some(url) = &state.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok());
    let is_https = text("x-forwarded-proto").is_some_and(|p| p.split(',').next() == Some("https"));
    match text(header::HOST.as_str()) {
        Some(host) => format!("{}://{host}", if is_https { "https" } else { "http" }),
        None => String::new(),
    }
}

/// `GET /files/…`: shows or downloads a file to anyone with its signed link. It never runs as a page of this site.
pub async fn serve(
    State(state): State<RestState>,
    Path(path): Path<String>,
    QueryPayload(query): QueryPayload,
) -> Answer {
    let link = query.link().ok_or(Error::InvalidSignature)?;
    let (kind, size, content) = state.chat.uploads.open(&path, &link).await?;
    let disposition = if kind.is_shown_inline() { "inline" } else { "attachment" };
    let response = Response::builder()
        .header(header::CONTENT_TYPE, kind.mime())
        .header(header::CONTENT_LENGTH, size)
        .header(header::CONTENT_DISPOSITION, format!("{disposition}; {}", file_name(&path, &link.name)))
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox")
        .header("cross-origin-resource-policy", "cross-origin")
        .header(header::CACHE_CONTROL, "private, max-age=86400")
        .body(Body::from_stream(content))
        .map_err(|_| Error::Internal)?;
    Ok(response)
}

/// The name to save under, for all browsers and for those that know more than ASCII (RFC 6266 §5).
fn file_name(path: &str, name: &str) -> String {
    let plain = path.rsplit('/').next().unwrap_or("file");
    format!("filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC))
}
