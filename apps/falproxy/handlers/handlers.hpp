// handlers.hpp: every function that answers a row of the table in routes.cpp; one file a surface.
// They run on fibers: what computes for milliseconds goes through the door's executor.
#pragma once

#include <string>
#include <vector>

#include "door.hpp"

namespace falproxy::app {

// health.cpp
serving::Response health(Call& call);
serving::Response ready(Call& call);

// models.cpp
serving::Response list_models(Call& call);
serving::Response show_model(Call& call);
serving::Response show_thumbnail(Call& call);

// images.cpp
serving::Response generate(Call& call);
serving::Response edit(Call& call);
serving::Response vary(Call& call);

// wish_call.cpp
/// When the request has to be answered: what the client says it waits for, but at most
/// REQUEST_TIMEOUT_SECONDS.
[[nodiscard]] TimePoint deadline_of(const serving::RequestHead& head, TimePoint began,
                                    Seconds request_timeout);

/// The client may silently send the same request again: an SDK's, or one with an Idempotency-Key.
[[nodiscard]] bool may_repeat(const serving::RequestHead& head);

// videos.cpp
serving::Response create_video(Call& call);
serving::Response create_video_and_wait(Call& call);
serving::Response list_videos(Call& call);
serving::Response show_video(Call& call);
serving::Response delete_video(Call& call);
serving::Response show_video_content(Call& call);
/// What OpenAI's API has and fal has not.
serving::Response remix_video(Call& call);
serving::Response refuse_video(Call& call);

// jobs.cpp
serving::Response list_jobs(Call& call);
serving::Response show_job_content(Call& call);
serving::Response show_job(Call& call);
serving::Response cancel_job(Call& call);

// media.cpp
serving::Response show_file(Call& call);
serving::Response list_media(Call& call);
serving::Response show_media(Call& call);
serving::Response delete_media(Call& call);
/// "https://host" of the addresses of kept files: PUBLIC_URL, else as the request calls the server.
/// Empty: it calls it nothing that can be an address.
[[nodiscard]] std::string public_origin(const serving::RequestHead& head, const Settings& settings);

// chat.cpp
serving::Response chat(Call& call);

// responses.cpp
serving::Response respond(Call& call);

// openrouter.cpp
serving::Response make_openrouter_images(Call& call);
serving::Response list_openrouter_models(Call& call);

// fal_native.cpp
serving::Response pass_to_fal(Call& call);
serving::Response queue_at_fal(Call& call);
serving::Response run_at_fal(Call& call);

// embeddings.cpp
serving::Response embed(Call& call);

// audio.cpp
serving::Response speak(Call& call);
serving::Response transcribe(Call& call);
serving::Response translate_speech(Call& call);
serving::Response list_voices(Call& call);
serving::Response list_audio_models(Call& call);

// operator.cpp
serving::Response show_metrics(Call& call);
serving::Response show_status(Call& call);

// keys.cpp
serving::Response list_keys(Call& call);
serving::Response make_key(Call& call);
serving::Response change_key(Call& call);
serving::Response remove_key(Call& call);

// usage.cpp
serving::Response show_usage(Call& call);

// page.cpp
serving::Response go_to_page(Call& call);
serving::Response show_page(Call& call);

}  // namespace falproxy::app
