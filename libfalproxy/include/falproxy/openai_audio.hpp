// openai_audio.hpp: the OpenAI audio API as values: requests read, transcripts and events written.
//
// Pure functions. Sources: OpenAI's API reference (audio) and recorded exchanges with
// api.openai.com.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/codecs.hpp"
#include "falproxy/memory_budget.hpp"
#include "falproxy/openai.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"
#include "falproxy/transcript.hpp"
#include "falproxy/wish.hpp"

namespace falproxy::inline v0::openai {

/// A request for speech, or for another sound.
struct SpeechRequest {
  Wish wish = {};       ///< makes audio; `prompt` is what OpenAI calls `input`
  bool events = false;  ///< `stream_format` is sse: the sound comes in events
  bool operator==(const SpeechRequest&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const SpeechRequest& request);

/// Reads the JSON body of POST /v1/audio/speech. `voice` may be a name or an object with `id`; what
/// is none of OpenAI's fields is the model's own. Errors name the field: invalid_json,
/// missing_parameter, invalid_type, invalid_value, body_too_large.
[[nodiscard]] Result<SpeechRequest> parse_speech(std::string_view body,
                                                 const RequestLimits& limits);

/// How a transcript is answered: `response_format`.
enum class TranscriptFormat { json, text, srt, vtt, verbose_json, diarized_json };
/// As written above.
[[nodiscard]] std::string_view name_of(TranscriptFormat value) noexcept;

/// A request for what is said in a sound.
struct TranscriptRequest {
  Wish wish = {};                                    ///< makes text; the sound is in `images`
  TranscriptFormat format = TranscriptFormat::json;  ///< of the answer
  bool words = false;                                ///< their times belong into a verbose_json
  bool segments = false;                             ///< their times belong into a verbose_json
  bool stream = false;                               ///< the answer comes in events
  /// Of the file, in seconds, as far as its bytes tell.
  std::optional<double> seconds = std::nullopt;
  bool operator==(const TranscriptRequest&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const TranscriptRequest& request);

/// Reads the parts of POST /v1/audio/transcriptions; `translate`: of /translations. The sound
/// stands in `file`, of a kind that media::sniff_sound() knows, or as an address. Errors name the
/// field: missing_parameter, invalid_value, unsupported_file, unsupported_value.
[[nodiscard]] Result<TranscriptRequest> parse_transcript(bool translate,
                                                         std::vector<FormPart> parts,
                                                         const RequestLimits& limits);

/// The Content-Type of write().
[[nodiscard]] std::string_view content_type_of(TranscriptFormat format) noexcept;
/// The whole answer.
[[nodiscard]] std::string write(const Transcript& transcript, const TranscriptRequest& request);
/// The same as events: one for each segment, and one that ends them. Their texts together are the
/// text.
[[nodiscard]] std::string write_events(const Transcript& transcript,
                                       const TranscriptRequest& request);

/// `speech.audio.delta`; `base64`: whole bytes.
[[nodiscard]] std::string write_speech_delta(std::string_view base64);
/// `speech.audio.done`; its usage is of zeros, since fal counts otherwise.
[[nodiscard]] std::string write_speech_end();

/// A voice as GET /v1/audio/voices shows it.
struct Voice {
  std::string id;     ///< as a request gives it
  std::string model;  ///< whose voice it is
  bool operator==(const Voice&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Voice& voice);
/// `{"voices":[{"id","name","model"}]}`
[[nodiscard]] std::string write_voices(const std::vector<Voice>& voices);
/// `{"models":[{"id","name"}],"object":"list"}`
[[nodiscard]] std::string write_audio_models(const std::vector<std::string>& models);

}  // namespace falproxy::inline v0::openai
