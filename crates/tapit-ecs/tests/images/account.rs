//! An account that has a registry and nothing else, with the images of a server beside it.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tapit_ecs::Install;
use tapit_ecs::api::{Answer, ApiError, ApiFault, EcsApi, Operation, RegistryLogin, Request};
use tapit_ecs::images::{EcsImages, LocationError};
use tapit_engine::{EngineError, ImageFault};
use tapit_model::{AppName, ImageRef, ImageView, PinnedImage};

use crate::archives::{Image, Layer, docker_save, image};

pub const USER: &str = "ann";
pub const PASSWORD: &str = "secret";

/// What it was asked, and what it answers with next instead of what it should.
pub struct Account {
    host: String,
    password: Mutex<String>,
    calls: Mutex<Vec<Request>>,
    faults: Mutex<VecDeque<(Operation, ApiFault)>>,
}

impl Account {
    pub fn with_registry(host: &str) -> Arc<Self> {
        Arc::new(Self {
            host: host.to_owned(),
            password: Mutex::new(PASSWORD.to_owned()),
            calls: Mutex::default(),
            faults: Mutex::default(),
        })
    }

    /// The calls since they were last looked at.
    pub fn called(&self) -> Vec<Operation> {
        self.calls.lock().expect("calls").drain(..).map(|request| request.operation()).collect()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.calls.lock().expect("calls").clone()
    }

    /// The next call of this kind fails.
    pub fn fail(&self, operation: Operation, fault: ApiFault) {
        self.faults.lock().expect("faults").push_back((operation, fault));
    }

    /// Logins from now on have this password.
    pub fn set_password(&self, password: &str) {
        *self.password.lock().expect("password") = password.to_owned();
    }
}

#[async_trait]
impl EcsApi for Account {
    async fn call(&self, request: Request) -> Result<Answer, ApiError> {
        let operation = request.operation();
        self.calls.lock().expect("calls").push(request.clone());
        let failed = |fault| Err(ApiError { operation, fault, text: "told to fail".to_owned() });
        {
            let mut faults = self.faults.lock().expect("faults");
            if faults.front().is_some_and(|(next, _)| *next == operation)
                && let Some((_, fault)) = faults.pop_front()
            {
                return failed(fault);
            }
        }
        if let Request::CreateRepository { name, .. } = request {
            return Ok(Answer::Id(format!("{}/{name}", self.host)));
        }
        if request != Request::RegistryLogin {
            return failed(ApiFault::Invalid);
        }
        Ok(Answer::Login(RegistryLogin {
            host: self.host.clone(),
            plain_http: true,
            username: USER.to_owned(),
            password: self.password.lock().expect("password").clone(),
        }))
    }
}

/// A server's images, which end with the value.
pub struct Server {
    pub dir: tempfile::TempDir,
    pub account: Arc<Account>,
    pub images: EcsImages,
}

impl Server {
    pub fn start(account: &Arc<Account>) -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let images = open(dir.path(), account);
        Self { dir, account: account.clone(), images }
    }

    pub fn restart(self) -> Self {
        let Self { dir, account, images } = self;
        drop(images);
        let images = open(dir.path(), &account);
        Self { dir, account, images }
    }

    pub async fn import(&self, image: &Image, name: &str) -> Vec<ImageView> {
        let file = tempfile::NamedTempFile::new().expect("file");
        std::fs::write(file.path(), docker_save(&[(image, &[name])])).expect("written");
        self.images.images().import(file.path(), None).await.expect("imported")
    }

    pub async fn prepare(&self, name: &str) -> PinnedImage {
        let prepared = self.images.prepare(&reference(name)).await.expect("prepared");
        assert_eq!(prepared.warning, None);
        prepared.image
    }

    pub async fn location(&self, image: &PinnedImage, name: &str) -> Result<String, LocationError> {
        self.images.location(image, &app(name)).await
    }
}

/// What both names begin with in the account.
pub fn install() -> Install {
    Install::of(Path::new("/var/lib/tapit"))
}

fn open(dir: &Path, account: &Arc<Account>) -> EcsImages {
    let exe = Path::new(env!("CARGO_BIN_EXE_tapit-ecs-child"));
    EcsImages::open(dir, exe, account.clone(), install()).expect("opened")
}

pub fn app(name: &str) -> AppName {
    AppName::parse(name).expect("a legal name")
}

pub fn reference(name: &str) -> ImageRef {
    ImageRef::parse(name).expect("a reference")
}

pub fn sample() -> Image {
    image(&["a", "b"].map(|name| Layer::new().file(name, name.as_bytes()).done()))
}

/// The kind of an image's fault, with all that is said of it.
pub fn fault(error: &EngineError) -> (ImageFault, String) {
    let EngineError::Image { fault, text, .. } = error else { panic!("{error:?}") };
    (*fault, text.clone())
}

/// Runs async work as each test does.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime").block_on(work)
}
