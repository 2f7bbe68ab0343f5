-- Tables and queries of the book shop.
CREATE TABLE tbl_isbn_registry (isbn CHAR(13) PRIMARY KEY, title TEXT NOT NULL);

CREATE TABLE tbl_order_lines (order_id INT, isbn CHAR(13), copies INT CHECK (copies > 0));

-- Books that nobody ordered in the last year.
CREATE VIEW vw_unsold_titles AS SELECT title FROM tbl_isbn_registry WHERE isbn NOT IN (SELECT isbn FROM tbl_order_lines);

-- Orders are kept for ten years, as the law asks.
CREATE PROCEDURE sp_purge_old_orders() DELETE FROM tbl_orders WHERE placed < now() - INTERVAL '10 years';

INSERT INTO tbl_isbn_registry VALUES ('9780306406157', 'A Handbook of Knots');
INSERT INTO tbl_isbn_registry VALUES ('9780306406164', 'Birds of the Outer Bank');
INSERT INTO tbl_isbn_registry VALUES ('9783161484100', 'The Lighthouse Cookbook');
