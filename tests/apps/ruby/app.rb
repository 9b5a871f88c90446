# Users and notes by Active Record: DSN, RELEASE (integer, compat, uuid), PREPARED=no behind a pooler in transaction mode.
require 'active_record'
require 'securerandom'
require_relative 'traffic'

RELEASE = ENV.fetch('RELEASE')
STAY = 50
ActiveRecord::Base.establish_connection(
  adapter: 'postgresql', url: ENV.fetch('DSN'), pool: 4, prepared_statements: ENV['PREPARED'] != 'no', advisory_locks: false
)

class User < ActiveRecord::Base
  self.primary_key = RELEASE == 'compat' ? 'uuid_id' : 'id'
  # The uuid is the application's own before the INSERT; the integer stays the server's, and is nothing to this release.
  # With ignored columns Active Record names all others in each SELECT: so every name that an exchange gives or takes is listed.
  self.ignored_columns = %w[id legacy_id uuid_id_compat] if RELEASE == 'compat'
  before_create { self[self.class.primary_key] ||= SecureRandom.uuid } unless RELEASE == 'integer'
  has_many :notes, foreign_key: RELEASE == 'compat' ? 'user_uuid_id' : 'user_id', dependent: :delete_all
end

class Note < ActiveRecord::Base
  self.ignored_columns = %w[user_id user_legacy_id user_uuid_id_compat] if RELEASE == 'compat'
  belongs_to :user, foreign_key: RELEASE == 'compat' ? 'user_uuid_id' : 'user_id'
end

def must(condition, what)
  raise what unless condition
end

def somebody = User.find_by!(email: "stays#{rand(1..STAY)}@example.org")

def on_a_connection(&block) = -> { ActiveRecord::Base.connection_pool.with_connection(&block) }

REQUESTS = {
  look: on_a_connection do
    user = somebody
    must User.find(user[User.primary_key]).email == user.email, 'another user'
  end,
  write: on_a_connection do
    User.transaction do
      user = somebody
      user.notes.create!(text: SecureRandom.uuid)
      must user.notes.order(id: :desc).limit(5).to_a.any?, 'no note'
    end
  end,
  come_and_go: on_a_connection do
    user = User.create!(email: "#{SecureRandom.uuid}@example.org")
    user.notes.create!(text: 'hello')
    again = User.includes(:notes).find(user[User.primary_key])
    must again.notes.map(&:text) == ['hello'], 'not the note'
    again.destroy!
    must User.find_by(email: user.email).nil?, 'still there'
  end
}.freeze

User.first # the schema cache, before the first request
Note.first
Traffic.new(REQUESTS).serve
