#include "routes.hpp"

#include <array>

#include "handlers/handlers.hpp"

namespace falproxy::app {
namespace {

// A new address is a line here and a function in handlers/. Each is known with /v1, /api/v1 and
// the like before it, and without.
constexpr std::array<RouteRow, 54> api = {{
    {"GET", "health", "/health", For::everybody, health},
    {"GET", "ready", "/ready", For::everybody, ready},
    {"GET", "models", "/v1/models", For::model_readers, list_models},
    {"GET", "models/*id", "/v1/models/{id}", For::model_readers, show_model},
    {"GET", "falproxy/thumbnails/*id", "/v1/falproxy/thumbnails/{id}", For::model_readers,
     show_thumbnail},
    {"POST", "images/generations", "/v1/images/generations", For::picture_makers, generate},
    {"POST", "images/edits", "/v1/images/edits", For::picture_makers, edit},
    {"POST", "images/variations", "/v1/images/variations", For::picture_makers, vary},
    {"POST", "chat/completions", "/v1/chat/completions", For::picture_makers, chat},
    {"POST", "responses", "/v1/responses", For::picture_makers, respond},
    {"POST", "embeddings", "/v1/embeddings", For::picture_makers, embed},
    {"POST", "images", "/v1/images", For::picture_makers, make_openrouter_images},
    {"GET", "images/models", "/v1/images/models", For::model_readers, list_openrouter_models},
    {"GET", "falproxy/jobs", "/v1/falproxy/jobs", For::key_holders, list_jobs},
    {"GET", "falproxy/jobs/:id", "/v1/falproxy/jobs/{id}", For::key_holders, show_job},
    {"GET", "falproxy/jobs/:id/content", "/v1/falproxy/jobs/{id}/content", For::key_holders,
     show_job_content},
    {"DELETE", "falproxy/jobs/:id", "/v1/falproxy/jobs/{id}", For::key_holders, cancel_job},
    {"POST", "audio/speech", "/v1/audio/speech", For::picture_makers, speak},
    {"POST", "audio/transcriptions", "/v1/audio/transcriptions", For::picture_makers, transcribe},
    {"POST", "audio/translations", "/v1/audio/translations", For::picture_makers, translate_speech},
    {"GET", "audio/voices", "/v1/audio/voices", For::model_readers, list_voices},
    {"GET", "audio/models", "/v1/audio/models", For::model_readers, list_audio_models},
    {"POST", "videos", "/v1/videos", For::picture_makers, create_video},
    {"GET", "videos", "/v1/videos", For::key_holders, list_videos},
    {"POST", "videos/sync", "/v1/videos/sync", For::picture_makers, create_video_and_wait},
    {"POST", "videos/edits", "/v1/videos/edits", For::key_holders, refuse_video},
    {"POST", "videos/extensions", "/v1/videos/extensions", For::key_holders, refuse_video},
    {"POST", "videos/characters", "/v1/videos/characters", For::key_holders, refuse_video},
    {"GET", "videos/characters/:id", "/v1/videos/characters", For::key_holders, refuse_video},
    {"GET", "videos/:id", "/v1/videos/{id}", For::key_holders, show_video},
    {"DELETE", "videos/:id", "/v1/videos/{id}", For::key_holders, delete_video},
    {"GET", "videos/:id/content", "/v1/videos/{id}/content", For::key_holders, show_video_content},
    {"POST", "videos/:id/remix", "/v1/videos/{id}/remix", For::picture_makers, remix_video},
    {"GET", "fal/proxy", "/fal/proxy", For::picture_makers, pass_to_fal},
    {"POST", "fal/proxy", "/fal/proxy", For::picture_makers, pass_to_fal},
    {"PUT", "fal/proxy", "/fal/proxy", For::picture_makers, pass_to_fal},
    {"GET", "fal/queue/*rest", "/fal/queue", For::picture_makers, queue_at_fal},
    {"POST", "fal/queue/*rest", "/fal/queue", For::picture_makers, queue_at_fal},
    {"PUT", "fal/queue/*rest", "/fal/queue", For::picture_makers, queue_at_fal},
    {"POST", "fal/run/*rest", "/fal/run", For::picture_makers, run_at_fal},
    {"GET", "metrics", "/metrics", For::the_operator, show_metrics},
    {"GET", "falproxy/status", "/v1/falproxy/status", For::key_holders, show_status},
    {"GET", "falproxy/keys", "/v1/falproxy/keys", For::the_operator, list_keys},
    {"POST", "falproxy/keys", "/v1/falproxy/keys", For::the_operator, make_key},
    {"PATCH", "falproxy/keys/:name", "/v1/falproxy/keys/{name}", For::the_operator, change_key},
    {"DELETE", "falproxy/keys/:name", "/v1/falproxy/keys/{name}", For::the_operator, remove_key},
    {"GET", "falproxy/usage", "/v1/falproxy/usage", For::key_holders, show_usage},
    {"GET", "media/:file", "/media/{id}", For::everybody, show_file},
    {"GET", "falproxy/media", "/v1/falproxy/media", For::key_holders, list_media},
    {"GET", "falproxy/media/:id", "/v1/falproxy/media/{id}", For::key_holders, show_media},
    {"DELETE", "falproxy/media/:id", "/v1/falproxy/media/{id}", For::key_holders, delete_media},
    {"GET", "/", "/", For::everybody, go_to_page},
    {"GET", "playground", "/", For::everybody, show_page},
    {"GET", "playground/*file", "/", For::everybody, show_page},
}};

constexpr std::array<RouteRow, 1> metrics_only = {
    {{"GET", "metrics", "/metrics", For::everybody, show_metrics}}};

}  // namespace

std::span<const RouteRow> api_routes() noexcept { return api; }
std::span<const RouteRow> metrics_routes() noexcept { return metrics_only; }

}  // namespace falproxy::app
