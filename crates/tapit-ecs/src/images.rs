//! The images that tasks run: which one a name stands for, and where ECS finds it.
//!
//! ECS fetches images by itself, so most are only looked up here and pinned to the digest of their manifest. What it
//! cannot fetch (an image that was imported or built here, or one of a registry whose login is known here alone) is held
//! here as it came, pinned to the digest of its configuration, and sent to the app's repository on the way. The engine
//! asks `prepare` first and `location` before it registers a task definition; nothing here knows tasks.

mod carry;
mod origins;
mod place;

use std::path::Path;
use std::sync::Mutex;

use tapit_container::images::{Docker, ImageStore, ImageStoreError, Keep, Limits, Opening, Platform};
use tapit_engine::{EngineError, ImageFault, Images, Prepared};
use tapit_model::{AppName, Digest, ImageRef, PinnedImage, RegistryName, RegistrySettings};

use crate::api::{ApiError, SharedApi};
use crate::names::Install;
use carry::Way;
use origins::{Origins, OriginsError};
use place::{LoginCache, Places};

/// What tasks run on.
const PLATFORM: Platform = Platform::AMD64;

/// What opening the images can fail at.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open the images")]
    Store(#[from] ImageStoreError),
    #[error(transparent)]
    Origins(#[from] OriginsError),
}

/// Why it cannot be said where ECS finds an image.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    #[error("get a login for the account's registry")]
    Login(#[source] ApiError),
    #[error("make the repository {repository}")]
    Repository { repository: String, source: ApiError },
    #[error(transparent)]
    Image(EngineError),
    #[error("{text:?} of the account's registry is no name for an image")]
    Name { text: String },
}

impl LocationError {
    /// Whether the same may succeed without anybody changing anything.
    pub fn passes(&self) -> bool {
        match self {
            LocationError::Login(source) | LocationError::Repository { source, .. } => source.fault.passes(),
            LocationError::Image(EngineError::Image { fault, .. }) => match fault {
                ImageFault::Unreachable | ImageFault::Host => true,
                ImageFault::NotFound | ImageFault::Denied | ImageFault::Invalid | ImageFault::InUse => false,
            },
            LocationError::Image(
                EngineError::Archive { .. }
                | EngineError::UnknownProcess(_)
                | EngineError::UnknownInstance(_)
                | EngineError::NotRunning(_)
                | EngineError::UnknownPosition(_)
                | EngineError::Unsupported { .. }
                | EngineError::Act { .. },
            )
            | LocationError::Name { .. } => false,
        }
    }
}

impl From<LocationError> for EngineError {
    fn from(error: LocationError) -> Self {
        match error {
            LocationError::Image(error) => error,
            other @ (LocationError::Login(_) | LocationError::Repository { .. } | LocationError::Name { .. }) => {
                EngineError::act("send an image to the account's registry", other)
            }
        }
    }
}

/// The images of one server. Neither root nor anything of this host but its disk is needed.
pub struct EcsImages {
    store: ImageStore,
    api: SharedApi,
    install: Install,
    origins: Mutex<Origins>,
    login: LoginCache,
    places: Places,
}

impl EcsImages {
    /// Opens the images below the server's data directory; it blocks on the disk. `exe` is the program that is run again to
    /// read archives; its `main` must call `tapit_container::child_main` first.
    pub fn open(data_dir: &Path, exe: &Path, api: SharedApi, install: Install) -> Result<Self, OpenError> {
        let opening =
            Opening { limits: Limits::default(), docker: Docker::here(), platform: PLATFORM, keep: Keep::Packed };
        let store = ImageStore::open_as(&data_dir.join("images"), exe, opening)?;
        let origins = Mutex::new(Origins::open(&data_dir.join("ecs").join("carried-images.json"))?);
        Ok(Self { store, api, install, origins, login: LoginCache::default(), places: Places::default() })
    }

    /// What is held here.
    pub fn images(&self) -> &dyn Images {
        &self.store
    }

    /// Pins an image. Its digest is that of the manifest, under which ECS fetches it, or that of the configuration for one
    /// that is carried to the account from here.
    pub async fn prepare(&self, image: &ImageRef) -> Result<Prepared, EngineError> {
        if let Some(local) = self.store.local(image) {
            return self.carried(image, Prepared { image: local?, warning: None });
        }
        match self.way(image).await? {
            Way::Carried => self.carried(image, self.store.prepare(image).await?),
            Way::Fetched => match self.resolve(image).await {
                Ok(found) => Ok(Prepared { image: found, warning: None }),
                Err(error) => self.instead(image, error),
            },
        }
    }

    /// Where ECS finds a pinned image, for the app's task definitions. One that is carried is in the app's repository when
    /// this returns well.
    pub async fn location(&self, image: &PinnedImage, app: &AppName) -> Result<String, LocationError> {
        if self.is_carried(&image.digest) { self.put(image, app).await } else { Ok(place::pinned(image)) }
    }

    /// The app's repository was removed, with all that was in it.
    pub fn forget_app(&self, app: &AppName) {
        self.places.forget(app);
    }

    async fn way(&self, image: &ImageRef) -> Result<Way, EngineError> {
        let set = self.store.registries().await?;
        let settings = RegistryName::parse(image.registry()).ok().and_then(|name| set.get(&name).cloned());
        Ok(match carry::way(image.registry(), settings.as_ref()) {
            Way::Fetched => Way::Fetched,
            // The account's own registry needs no login that is known here.
            Way::Carried if self.own(image).await.is_some() => Way::Fetched,
            Way::Carried => Way::Carried,
        })
    }

    /// What the registry says; that of the account is asked as the account.
    async fn resolve(&self, image: &ImageRef) -> Result<PinnedImage, EngineError> {
        let mut found = self.store.resolve(image).await;
        if let Err(EngineError::Image { fault: ImageFault::Denied, .. }) = &found
            && let Some(login) = self.own(image).await
        {
            found = self.store.resolve_with(image, &login).await;
        }
        let found = found?;
        Ok(PinnedImage { reference: image.clone(), digest: found.manifest, exposed: found.exposed })
    }

    /// The login for the account's registry, if the image is in that one.
    async fn own(&self, image: &ImageRef) -> Option<RegistrySettings> {
        match self.login.get(&self.api).await {
            Ok(login) => login.host.eq_ignore_ascii_case(image.registry()).then(|| place::settings(&login)),
            Err(error) => {
                tracing::warn!(%image, %error, "whether an image is in the account's registry cannot be found out");
                None
            }
        }
    }

    /// A copy that is held here is carried over when the registry does not answer, as it would be used on this host.
    fn instead(&self, image: &ImageRef, error: EngineError) -> Result<Prepared, EngineError> {
        let EngineError::Image { image: named, fault: ImageFault::Unreachable, text } = error else {
            return Err(error);
        };
        match self.store.held(image) {
            Some(held) => {
                let warning = Some(format!("image {image}: {text}; the copy that is held here is used"));
                self.carried(image, Prepared { image: held, warning })
            }
            None => {
                let text = format!(
                    "{text}. AWS might reach it, but what runs is pinned to what its name means at present, and that is \
                     asked from here"
                );
                Err(EngineError::Image { image: named, fault: ImageFault::Unreachable, text })
            }
        }
    }

    /// Notes, before anybody relies on it, that a digest is one of a configuration.
    fn carried(&self, image: &ImageRef, prepared: Prepared) -> Result<Prepared, EngineError> {
        let noted = self.origins().note(&prepared.image.digest, &|digest| self.store.holds(digest));
        noted.map_err(|error| EngineError::act(format!("prepare the image {image}"), error))?;
        Ok(prepared)
    }

    fn is_carried(&self, digest: &Digest) -> bool {
        self.origins().contains(digest) || self.store.holds(digest)
    }

    fn origins(&self) -> std::sync::MutexGuard<'_, Origins> {
        self.origins.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
