// openai_videos.hpp: OpenAI's videos API as values: requests read, the objects of its answers
// written.
//
// Pure functions. Sources: OpenAI's API reference (videos) and recorded exchanges of its SDKs.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/result.hpp"
#include "falproxy/run_status.hpp"
#include "falproxy/wish.hpp"

namespace falproxy::inline v0::openai {

/// A video, of what parse_json() or parse_form() has read of POST /v1/videos with Medium::video:
/// there `input_reference` is a picture, and `seconds` (or `duration`) is still a native field: a
/// number of seconds, or its text ("8", "8s"). Errors: missing_parameter (`prompt`, if no picture
/// came), invalid_value (`seconds`; `n`, which is 1 at most) and invalid_type (`seconds`).
[[nodiscard]] Result<Wish> as_video(Wish wish);

/// An error in the words of this API: what images call `image` is `input_reference` here.
[[nodiscard]] Error video_error(Error error);

/// The video object, as JSON text. All members are there. A member `remixed_from_video_id` of
/// LaterRun::details is the object's. One of falproxy's own has what it cost, once that is known.
[[nodiscard]] std::string write_video(const RunStatus& status);
/// A page of them.
[[nodiscard]] std::string write_videos(const std::vector<RunStatus>& runs, bool has_more);
/// What a deleted one is answered with.
[[nodiscard]] std::string write_deleted_video(const RunId& id);

/// "video_" and 32 digits.
[[nodiscard]] std::string video_id(const RunId& id);
/// None: `text` is none.
[[nodiscard]] std::optional<RunId> parse_video_id(std::string_view text) noexcept;

}  // namespace falproxy::inline v0::openai
