// A peer of the benchmark `http`: gin and pgx, as Debian packages them. It does what bench/limit does, and
// like it nothing else.
package main

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

// As many as every contestant has.
const connections = 10

type row struct {
	ID        uuid.UUID `json:"id"`
	Name      string    `json:"name" binding:"required"`
	Email     string    `json:"email" binding:"required"`
	CreatedAt time.Time `json:"created_at"`
}

type service struct {
	pool   *pgxpool.Pool
	secret []byte
}

func (s *service) known(c *gin.Context) {
	header := c.GetHeader("Authorization")
	token := strings.TrimPrefix(header, "Bearer ")
	parser := jwt.Parser{ValidMethods: []string{"HS256"}}
	key := func(*jwt.Token) (interface{}, error) { return s.secret, nil }
	if _, err := parser.ParseWithClaims(token, jwt.MapClaims{}, key); token == header || err != nil {
		c.AbortWithStatus(http.StatusUnauthorized)
	}
}

func (s *service) show(c *gin.Context) {
	id, err := uuid.Parse(c.Param("id"))
	if err != nil {
		c.Status(http.StatusBadRequest)
		return
	}
	found := row{ID: id}
	query := "select name, email, created_at from users where id = $1"
	err = s.pool.QueryRow(c, query, id).Scan(&found.Name, &found.Email, &found.CreatedAt)
	if errors.Is(err, pgx.ErrNoRows) {
		c.Status(http.StatusNotFound)
	} else if err != nil {
		c.Status(http.StatusInternalServerError)
	} else {
		c.JSON(http.StatusOK, found)
	}
}

func (s *service) create(c *gin.Context) {
	made := row{}
	if err := c.ShouldBindJSON(&made); err != nil {
		c.Status(http.StatusBadRequest)
		return
	}
	made.ID, made.CreatedAt = uuid.New(), time.Now()
	err := s.pool.BeginFunc(c, func(tx pgx.Tx) error {
		insert := "insert into users (id, name, email, created_at) values ($1, $2, $3, $4)"
		if _, err := tx.Exec(c, insert, made.ID, made.Name, made.Email, made.CreatedAt); err != nil {
			return err
		}
		insert = "insert into outbox (id, routing_key, body, created_at) values ($1, $2, $3, $4)"
		_, err := tx.Exec(c, insert, uuid.New(), "user.created", made, made.CreatedAt)
		return err
	})
	if err != nil {
		c.Status(http.StatusInternalServerError)
	} else {
		c.JSON(http.StatusCreated, made)
	}
}

func main() {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		log.Fatal(err)
	}
	config.MaxConns = connections
	pool, err := pgxpool.ConnectConfig(context.Background(), config)
	if err != nil {
		log.Fatal(err)
	}
	s := &service{pool: pool, secret: []byte(os.Getenv("JWT_SECRET"))}
	gin.SetMode(gin.ReleaseMode)
	routes := gin.New()
	routes.GET("/health", func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "ok"}) })
	users := routes.Group("/api/users", s.known)
	users.POST("", s.create)
	users.GET("/:id", s.show)
	log.Fatal(routes.Run("127.0.0.1:" + os.Getenv("PORT")))
}
