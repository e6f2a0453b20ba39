// platform.hpp: fal's platform API: its models, money, and the account's requests.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>

#include "answers.hpp"
#include "documents.hpp"
#include "job_desk.hpp"
#include "storage.hpp"
#include "visit.hpp"

namespace falproxy::inline v0::testing {

/// Keys whose id begins with "admin" have the scope ADMIN.
class Platform {
 public:
  /// What is given must outlive it.
  Platform(const DeskOptions& options, const Models& models, Answers& answers, JobDesk& desk,
           Storage& storage, DeskStats& stats)
      : options_(options),
        models_(models),
        answers_(answers),
        desk_(desk),
        storage_(storage),
        stats_(stats) {}

  /// False: that is not the platform's.
  bool serve(const Visit& visit);

 private:
  void prices(const Visit& visit);
  void models(const Visit& visit);
  void estimate(const Visit& visit);
  void bills(const Visit& visit);
  void balance(const Visit& visit);
  void history(const Visit& visit);
  void forget(const Visit& visit);
  [[nodiscard]] nlohmann::json bill_of(const Job& job) const;
  /// False: answered with 403.
  bool is_admin(const Visit& visit);
  void answer(const Visit& visit, const nlohmann::json& body);
  void refuse(const Visit& visit, int status, const char* type, const char* message);

  const DeskOptions& options_;
  const Models& models_;
  Answers& answers_;
  JobDesk& desk_;
  Storage& storage_;
  DeskStats& stats_;
};

}  // namespace falproxy::inline v0::testing
