// Embeddings: of chat models alone.

#include <memory>
#include <optional>
#include <utility>

#include "handlers/chat_passage.hpp"
#include "handlers/handlers.hpp"
#include "handlers/wish_call.hpp"

namespace falproxy::app {

using serving::Response;

namespace {

class EmbeddingsCall final : public WishCall {
 public:
  EmbeddingsCall(Call& call, Door::Admission admission, bool dry_run)
      : WishCall(call, Medium::text, std::move(admission), dry_run), call_(call) {}
  Response answer() override;

 private:
  [[nodiscard]] Error no_such_model() const;

  Call& call_;
};

Error EmbeddingsCall::no_such_model() const {
  if (!record_.model.empty()) {
    if (std::optional<Error> fault = fault_of_name(record_.model)) return *std::move(fault);
  }
  return {.kind = ErrorKind::invalid_value,
          .message =
              "Invalid 'model': only the chat models of this server (LLM_MODELS) make "
              "embeddings.",
          .field = "model"};
}

Response EmbeddingsCall::answer() {
  Result<std::string> text = read_text();
  if (!text) return failure(std::move(text).error());
  Result<Addressed> addressed = addressed_model(call_, *text);
  if (!addressed) return failure(std::move(addressed).error());
  record_.model = addressed->name;
  if (!addressed->chat) return failure(no_such_model());
  return pass_on(call_, *std::move(text), *addressed->chat, addressed->named, "embeddings");
}

}  // namespace

Response embed(Call& call) {
  return answer_wish(call, BodyKind::json, [&](Door::Admission admission, bool dry_run) {
    return std::make_shared<EmbeddingsCall>(call, std::move(admission), dry_run);
  });
}

}  // namespace falproxy::app
