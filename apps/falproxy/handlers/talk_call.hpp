// talk_call.hpp: requests that ask for pictures in the middle of a talk: chat and Responses.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/fal.hpp"
#include "falproxy/openai_chat.hpp"
#include "handlers/run_call.hpp"

namespace falproxy::app {

/// One class for each surface derives from it.
class TalkCall : public RunCall {
 protected:
  /// `talk`: the field that holds it.
  TalkCall(Call& call, Door::Admission admission, bool dry_run, const char* talk);
  [[nodiscard]] Error worded(Error error) const override {
    return openai::talk_error(std::move(error), talk_);
  }

  /// An address is one of a picture that was made here: on a media host, or of a kept file.
  [[nodiscard]] bool is_ours(std::string_view address) const;
  /// The answer of the chat model that the body, or the address, names; none: it names no chat
  /// model, and `text` is still there.
  [[nodiscard]] std::optional<serving::Response> answer_by_chat_model(Call& call, std::string& text,
                                                                      std::string_view operation);
  /// By the chat model for chores; by `instead`, if there is none or it cannot be asked.
  [[nodiscard]] serving::Response answer_by_task_model(
      Call& call, std::string text, std::string_view operation,
      const std::function<serving::Response()>& instead);
  /// The model is there, and makes no text. Errors: model_not_found, deployment_not_found.
  [[nodiscard]] std::optional<Error> fault_of_model(const Wish& wish) const;
  /// Takes the pictures of the answer before, if the model can edit.
  void take_earlier(Wish& wish, std::vector<InputFile> earlier);
  /// Told with the answer, beside the Notes of the mapping.
  void note(const std::vector<openai::Leftover>& leftovers);

  /// Asks for addresses, and fetches what they lead to if `fetches_` is set.
  Outcome run(Wish wish, const CallContext& context) override;
  [[nodiscard]] Feed::Write event_writer() const override {
    return [](const Product&, std::optional<int>, std::optional<Usd>) { return Body(); };
  }

  /// Before an answer with addresses: see keep().
  void keep_pictures();

  /// Of an answer that shows base64.
  bool fetches_ = true;
  /// A picture that could not be fetched is shown by its address.
  bool addresses_will_do_ = false;
  /// What was made, once the run has ended well.
  std::vector<openai::TalkPicture> pictures_;
  std::vector<Product> products_;

 private:
  [[nodiscard]] Result<openai::TalkPicture> picture_of(const Product& product,
                                                       const CallContext& context);

  const char* const talk_;
  const Result<fal::MediaHosts> hosts_;
  std::optional<router::NamedModel> named_;  ///< in the body
  std::vector<plan::Note> notes_;
};

/// For the field x-falproxy-notes of an answer without a job.
[[nodiscard]] std::string chore_note(const openai::Chore& chore);
/// Unique, without meaning: `prefix` and 32 digits.
[[nodiscard]] std::string new_talk_id(std::string_view prefix);
/// Unix time in seconds.
[[nodiscard]] std::int64_t unix_now();

}  // namespace falproxy::app
