// Videos: runs that outlive their request, as OpenAI's videos API shows them.

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/fmt.hpp"
#include "falproxy/openai_videos.hpp"
#include "file_answer.hpp"
#include "handlers/handlers.hpp"
#include "handlers/wish_call.hpp"
#include "later.hpp"
#include "media_store/media_keeper.hpp"
#include "paging.hpp"
#include "relay.hpp"

namespace falproxy::app {

using serving::append_field;
using serving::Response;

namespace {

constexpr std::size_t usual_count = 20;
constexpr std::size_t most = 100;
// Poll helpers keep the first pace that they are told.
constexpr const char* pace_of_polls = "3000";

// With the addresses of kept files, if there are any. False: they cannot be looked up now.
bool show_kept(Call& call, RunStatus& status) {
  MediaKeeper* const keeper = call.door.parts().media;
  return keeper != nullptr && keeper->show(status.products, call.caller.client,
                                           public_origin(call.request.head(), call.rules->settings),
                                           call.request.stop());
}

Response video_answer(const RunStatus& status) {
  Response response = json_answer(openai::write_video(status));
  append_field(response.fields, "Cache-Control", "no-store");
  const bool ended = status.phase == RunPhase::completed || status.error.has_value();
  if (!ended) append_field(response.fields, "openai-poll-after-ms", pace_of_polls);
  return response;
}

// Most models do not say what their videos are.
std::string type_of(const Product& video) {
  if (video.content_type.starts_with("video/")) return video.content_type;
  const std::string address = video.content.str();
  const std::string_view path = std::string_view(address).substr(0, address.find_first_of("?#"));
  if (path.ends_with(".webm")) return "video/webm";
  if (path.ends_with(".mov")) return "video/quicktime";
  return path.ends_with(".gif") ? "image/gif" : "video/mp4";
}

// The address of a picture of the video's scenes; empty: the model made none.
std::string spritesheet_of(const RunStatus& status) {
  const Result<Json> details = Json::parse(status.record.details);
  return details ? std::string((*details)["spritesheet"].as_string().value_or("")) : std::string();
}

Error not_found(std::string_view id) {
  return {.kind = ErrorKind::run_not_found,
          .message = fmt::format("Video with id '{}' not found.", id.substr(0, 100)),
          .field = "video_id"};
}

// What a remix is made of.
struct RemixedVideo {
  std::string id;
  std::string model;
  std::string url;
};

class VideoCall final : public WishCall {
 public:
  VideoCall(Call& call, Door::Admission admission, bool dry_run, bool waits,
            std::optional<RemixedVideo> remixed)
      : WishCall(call, Medium::video, std::move(admission), dry_run),
        call_(call),
        waits_(waits),
        remixed_(std::move(remixed)) {}
  Response answer() override;

 private:
  Response fail(Error error) { return failure(openai::video_error(std::move(error))); }
  // The file itself, once it is there.
  Response wait_for_file(Wish wish);

  Call& call_;
  const bool waits_;
  const std::optional<RemixedVideo> remixed_;
};

Response VideoCall::answer() {
  Result<Wish> read = read_wish(Intent::generation);
  if (read) read = openai::as_video(*std::move(read));
  if (!read) return fail(std::move(read).error());
  if (remixed_.has_value()) {
    read->model = remixed_->model;
    read->images.push_back({.url = remixed_->url, .medium = Medium::video, .is_own = true});
  }
  record_.model = read->model.value_or("");
  if (auto explained = take_up(*read)) return *std::move(explained);
  if (!callback_) return fail(callback_.error());
  if (waits_) return wait_for_file(*std::move(read));
  std::variant<Begun, Outcome> started =
      begin(*std::move(read), video_surface, remixed_ ? remixed_->id : std::string());
  if (auto* outcome = std::get_if<Outcome>(&started)) {
    record_.receipt = std::move(outcome->receipt);
    return fail(outcome->response.error());
  }
  const Begun& begun = std::get<Begun>(started);
  const Result<RunStatus> status = status_of(begun);
  if (!status) return fail(status.error());
  Response response = video_answer(*status);
  response.fields += begun_answer(begun, 200, {}).fields;
  return response;
}

Response VideoCall::wait_for_file(Wish wish) {
  if (const auto fault = fault_of_callback()) return fail(*fault);
  request_.hold_when_client_leaves(repeat_hold);
  Outcome outcome = parts_.runner.handle(std::move(wish), context());
  record_.receipt = std::move(outcome.receipt);
  if (!outcome.response) return fail(std::move(outcome.response).error());
  const Product& video = outcome.response->front();
  const auto undelivered = outcome.undelivered;
  Result<Response> response =
      relay_file(call_, video.content.str(), type_of(video), [this, undelivered](bool whole) {
        const Error cut{.kind = ErrorKind::download_failed, .message = "The file broke off."};
        if (!whole && undelivered) undelivered();
        done(200, whole ? nullptr : &cut);
      });
  if (!response) {
    if (undelivered) undelivered();
    Error error = std::move(response).error();
    error.submitted = true;
    return fail(std::move(error));
  }
  append_facts(response->fields, facts());
  streams_ = true;
  return *std::move(response);
}

Response make_video(Call& call, bool waits, const std::optional<RemixedVideo>& remixed = {}) {
  return answer_wish(call, BodyKind::json_or_form, [&](Door::Admission admission, bool dry_run) {
    return std::make_shared<VideoCall>(call, std::move(admission), dry_run, waits, remixed);
  });
}

// Calls `answer` with the video that the address names.
template <class F>
Response with_video(Call& call, F&& answer) {
  const std::string_view name = call.request.parameter("id");
  const std::optional<RunId> id = openai::parse_video_id(name);
  if (!id.has_value()) return call.fail(not_found(name));
  const Result<std::optional<RunStatus>> status =
      call.door.parts().runner.find(call.caller.client, *id);
  if (!status) return call.fail(status.error());
  if (!status->has_value() || (*status)->record.surface != video_surface)
    return call.fail(not_found(name));
  return answer(**status);
}

}  // namespace

Response create_video(Call& call) { return make_video(call, false); }
Response create_video_and_wait(Call& call) { return make_video(call, true); }

Response show_video(Call& call) {
  return with_video(call, [&](RunStatus status) {
    show_kept(call, status);
    return video_answer(status);
  });
}

Response list_videos(Call& call) {
  const Result<Page> page = page_of(call.request.head(), usual_count, most);
  if (!page) return call.fail(page.error());
  const Result<std::optional<RunPlace>> after =
      place_after(call, page->after, openai::parse_video_id(page->after));
  if (!after) return call.fail(after.error());
  Result<std::vector<RunStatus>> runs = call.door.parts().runner.list(
      call.caller.client, video_surface, page->limit + 1, *after, page->oldest_first);
  if (!runs) return call.fail(runs.error());
  const bool has_more = runs->size() > page->limit;
  if (has_more) runs->pop_back();
  for (RunStatus& run : *runs) {
    if (!show_kept(call, run)) break;
  }
  return json_answer(openai::write_videos(*runs, has_more));
}

Response delete_video(Call& call) {
  return with_video(call, [&](const RunStatus& status) {
    MediaKeeper* const keeper = call.door.parts().media;
    for (const Product& product : status.products) {
      const auto kept = keeper != nullptr
                            ? keeper->find_source(call.caller.client, product.content.str())
                            : std::nullopt;
      if (kept && !keeper->remove(*kept)) {
        return call.fail({.kind = ErrorKind::overloaded,
                          .message = "The video's file cannot be deleted now. Try again."});
      }
    }
    const Result<bool> gone = call.door.parts().runner.forget(call.caller.client, status.record.id);
    if (!gone) return call.fail(gone.error());
    return json_answer(openai::write_deleted_video(status.record.id));
  });
}

Response show_video_content(Call& call) {
  return with_video(call, [&](const RunStatus& status) {
    const std::string variant = query_value(call.request.head().target, "variant");
    if (!variant.empty() && variant != "video" && variant != "thumbnail" &&
        variant != "spritesheet") {
      return call.fail({.kind = ErrorKind::invalid_value,
                        .message = "Invalid 'variant': it is video, thumbnail or spritesheet.",
                        .field = "variant"});
    }
    const auto missing = [&](std::string message) {
      return call.fail({.kind = ErrorKind::run_not_found, .message = std::move(message)});
    };
    if (status.phase == RunPhase::queued || status.phase == RunPhase::in_progress)
      return missing("Video is not ready yet, use GET /v1/videos/{video_id} to check its status.");
    if (status.phase != RunPhase::completed)
      return missing("There is no video: it failed. See GET /v1/videos/{video_id}.");
    const Product& video = status.products.front();
    MediaKeeper* const keeper = call.door.parts().media;
    const auto kept = keeper != nullptr
                          ? keeper->find_source(call.caller.client, video.content.str())
                          : std::nullopt;
    if (kept && kept->state == MediaState::deleted) return call.fail(file_was_deleted("video_id"));
    if (variant == "thumbnail" || variant == "spritesheet") {
      const std::string picture = variant == "thumbnail" ? video.thumbnail : spritesheet_of(status);
      if (picture.empty()) return missing(fmt::format("fal's model made no {}.", variant));
      Result<Response> file = relay_file(call, picture, {});
      return file ? *std::move(file) : call.fail(file.error());
    }
    if (kept && kept->state == MediaState::kept) {
      if (std::optional<Response> answer = file_answer(call, *kept, true))
        return *std::move(answer);
    }
    Result<Response> file = relay_file(call, video.content.str(), type_of(video));
    return file ? *std::move(file) : call.fail(file.error());
  });
}

Response remix_video(Call& call) {
  return with_video(call, [&](const RunStatus& status) {
    if (status.phase != RunPhase::completed) {
      return call.fail({.kind = ErrorKind::invalid_value,
                        .message = "This video is not completed: it cannot be remixed.",
                        .field = "video_id"});
    }
    const RunRecord& record = status.record;
    const std::string& name =
        record.requested_model.empty() ? record.served_model : record.requested_model;
    const Result<CatalogModel> model = call.door.parts().catalog.find(name);
    if (!model) return call.fail(model.error());
    if (!model->remix_endpoint.has_value()) {
      return call.fail({.kind = ErrorKind::unsupported_parameter,
                        .message = fmt::format(
                            "Videos of the model '{}' cannot be remixed: its operator has set no "
                            "\"remix\" endpoint for it in MODELS_FILE.",
                            name.substr(0, 200)),
                        .field = "model"});
    }
    return make_video(
        call, false,
        RemixedVideo{openai::video_id(record.id), name, status.products.front().content.str()});
  });
}

Response refuse_video(Call& call) {
  return call.fail({.kind = ErrorKind::unsupported_parameter,
                    .message = fmt::format(
                        "{} is not served: fal's models have no counterpart. Make a new video with "
                        "POST /v1/videos, with a picture in 'input_reference' or a video in the "
                        "model's own field.",
                        call.row.name)});
}

}  // namespace falproxy::app
