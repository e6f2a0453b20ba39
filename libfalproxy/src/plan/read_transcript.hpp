// read_transcript.hpp: the words of a result, and what it tells of their times and speakers.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "falproxy/result.hpp"
#include "falproxy/transcript.hpp"
#include "falproxy/wish.hpp"

namespace falproxy::inline v0::plan {

/// `places`: where the document promises the text ("text", "result.transcript"). `times`: what the
/// model was asked for. Errors: upstream_failed (not JSON), no_image (it holds no text).
[[nodiscard]] Result<Transcript> read_transcript(const std::string& body,
                                                 const std::vector<std::string>& places,
                                                 Times times);

}  // namespace falproxy::inline v0::plan
