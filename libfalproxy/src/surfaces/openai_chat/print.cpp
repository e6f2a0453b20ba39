#include "base/printer.hpp"
#include "falproxy/openai_chat.hpp"

namespace falproxy::inline v0::openai {

std::ostream& operator<<(std::ostream& out, const Chore& chore) {
  return Printer(out, "Chore")("kind", chore.kind)("answer", chore.answer).end();
}

std::ostream& operator<<(std::ostream& out, const ChatRequest& request) {
  Printer printer(out, "ChatRequest");
  printer("wish", request.wish)("earlier", request.earlier)("choices", request.choices)(
      "asks_for_image", request.asks_for_image)("include_usage", request.include_usage);
  return printer("chore", request.chore).end();
}

std::ostream& operator<<(std::ostream& out, const TalkPicture& picture) {
  return Printer(out, "TalkPicture")("address", picture.address)("data_uri", picture.data_uri)
      .end();
}

std::ostream& operator<<(std::ostream& out, const ChatAnswer& answer) {
  return Printer(out, "ChatAnswer")("id", answer.id)("model", answer.model)(
             "choices", answer.choices.size())("text", answer.text)("cost", answer.cost)
      .end();
}

}  // namespace falproxy::inline v0::openai
