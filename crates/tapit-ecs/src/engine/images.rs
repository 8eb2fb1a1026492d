//! The images as they come, fitted to what the engine needs of them.

use async_trait::async_trait;
use tapit_engine::{EngineError, Images, Prepared};
use tapit_model::{AppName, ImageRef, PinnedImage};

use super::TaskImages;
use crate::images::EcsImages;

#[async_trait]
impl TaskImages for EcsImages {
    async fn prepare(&self, image: &ImageRef) -> Result<Prepared, EngineError> {
        EcsImages::prepare(self, image).await
    }

    async fn location(&self, image: &PinnedImage, app: &AppName) -> Result<String, EngineError> {
        Ok(EcsImages::location(self, image, app).await?)
    }

    fn forget_app(&self, app: &AppName) {
        EcsImages::forget_app(self, app);
    }

    fn local(&self) -> &dyn Images {
        self.images()
    }
}
