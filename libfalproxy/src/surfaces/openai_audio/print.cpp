#include "base/printer.hpp"
#include "falproxy/openai_audio.hpp"

namespace falproxy::inline v0::openai {

std::ostream& operator<<(std::ostream& out, const SpeechRequest& request) {
  return Printer(out, "SpeechRequest")("wish", request.wish)("events", request.events).end();
}

std::ostream& operator<<(std::ostream& out, const TranscriptRequest& request) {
  return Printer(out, "TranscriptRequest")("wish", request.wish)("format", request.format)(
             "words", request.words)("segments", request.segments)("stream", request.stream)(
             "seconds", request.seconds)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Voice& voice) {
  return Printer(out, "Voice")("id", voice.id)("model", voice.model).end();
}

}  // namespace falproxy::inline v0::openai
