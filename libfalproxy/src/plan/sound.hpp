// sound.hpp: speech, music and sounds that are made, and words that are heard: OpenAI's fields onto
// whatever the model has for them.
#pragma once

#include <optional>

#include "plan/draft.hpp"

namespace falproxy::inline v0::plan {

/// The text that is spoken, voice, speed, language and instructions.
[[nodiscard]] std::optional<Error> send_speech(Draft& draft);
/// Wish::output_format of a sound.
[[nodiscard]] std::optional<Error> send_sound_format(Draft& draft);
/// The sound that is listened to, as a placeholder and a slot.
[[nodiscard]] std::optional<Error> place_recording(Draft& draft);
/// Language, task, times and speakers of a text.
[[nodiscard]] std::optional<Error> send_listening(Draft& draft);

}  // namespace falproxy::inline v0::plan
