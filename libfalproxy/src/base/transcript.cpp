#include "falproxy/transcript.hpp"

#include "base/printer.hpp"

namespace falproxy::inline v0 {

std::ostream& operator<<(std::ostream& out, const Utterance& utterance) {
  return Printer(out, "Utterance")("text", utterance.text)("start", utterance.start)(
             "end", utterance.end)("speaker", utterance.speaker)
      .end();
}

std::ostream& operator<<(std::ostream& out, const Transcript& transcript) {
  return Printer(out, "Transcript")("text", transcript.text)("language", transcript.language)(
             "seconds", transcript.seconds)("segments", transcript.segments)("words",
                                                                             transcript.words)
      .end();
}

}  // namespace falproxy::inline v0
